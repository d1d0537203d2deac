"""A model looked over before it is used."""

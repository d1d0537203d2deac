"""What can be called: verbs by name, found where computing happens.

A verb is ``f(model, inputs, parameters, seed, meter) -> value``: a pure function of its arguments
that ticks the meter before every pass and returns what ``core.codec`` can store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import UnknownName


@dataclass(frozen=True)
class Verbs:
    """Verbs and all they need, as names ``"module:function"`` that are imported only when used.

    ``loader(ref, device)`` makes the model that a verb gets; ``prepare`` is called once before the
    first model is loaded; ``modules`` are imported while warming up; results of the verbs in
    ``fleeting`` hold for this machine at this moment and are never stored; those ``without`` a
    model get its reference. Whoever makes an executor chooses them, never a call.
    """

    functions: Mapping[str, str]
    loader: str
    prepare: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    fleeting: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def check(self, name: str) -> None:
        """Raise ``UnknownName`` unless ``name`` is a verb."""
        if name not in self.functions:
            raise UnknownName.of("verb", name, self.functions)


VERBS = Verbs(
    functions={
        "ablate_heads": "core.attention.ablate:ablate_heads",
        "ablate_units": "core.activations.ablate:ablate_units",
        "ablated_metrics": "core.activations.ablate:ablated_metrics",
        "attention": "core.attention.compute:attention",
        "attention_flow": "core.attention.compute:attention_flow",
        "attention_overview": "core.attention.compute:attention_overview",
        "attribute": "core.attribution.compute:attribute",
        "capture": "core.activations.work:capture_verb",
        "check_up": "core.checkup.check:check_up",
        "cluster": "core.projection.cluster:cluster",
        "compare": "core.comparison.compare:compare",
        "compare_layers": "core.activations.compare:compare_layers",
        "compress": "core.compression.made:compress",
        "compression_costs": "core.compression.cost:compression_costs",
        "compression_drift": "core.compression.drift:compression_drift",
        "compression_sweep": "core.compression.sweep:compression_sweep",
        "concept_scores": "core.concepts.compute:concept_scores",
        "counterfactual": "core.counterfactual.find:counterfactual",
        "cover": "core.attribution.cover:cover",
        "describe": "core.attribution.describe:describe",
        "evaluate": "core.evaluation.evaluate:evaluate",
        "evaluate_groups": "core.evaluation.groups:evaluate_groups",
        "evaluate_written": "core.evaluation.written:evaluate_written",
        "filters": "core.activations.filters:filters",
        "flip": "core.attribution.flip:flip",
        "layers": "core.activations.work:layers_verb",
        "gradient_flow": "core.activations.flow:gradient_flow",
        "importance": "core.importance.overall:importance",
        "influence": "core.influence.compute:influence",
        "insides": "core.activations.verbs:insides",
        "layer_behaviour": "core.activations.verbs:layer_behaviour",
        "layer_times": "core.activations.timing:layer_times",
        "layer_probes": "core.activations.verbs:layer_probes",
        "interaction": "core.importance.dependence:interaction",
        "logit_lens": "core.activations.lens:logit_lens",
        "open_code": "core.models.formats.configured:open_code",
        "neuron_attribution": "core.attribution.units:neuron_attribution",
        "partial_dependence": "core.importance.dependence:partial_dependence",
        "place": "core.projection.place:place",
        "predict": "core.models.predict:predict",
        "produce": "core.models.produce:produce",
        "project": "core.projection.compute:project",
        "relevant_examples": "core.attribution.relevant:relevant_examples",
        "surrogate": "core.surrogate.fit:surrogate",
        "survey_data": "core.data.survey:survey_data",
        "unit_attribution": "core.attribution.units:unit_attribution",
        "vector_columns": "core.projection.uploaded:vector_columns",
    },
    loader="core.models.loader:load",
    prepare=("core.device:probe_threads",),
    modules=("captum.attr", "sklearn.linear_model", "skimage.segmentation"),
    # These time the model: a busy moment must not stay its truth. A capture is in a folder of
    # its own, where it is found again.
    fleeting=(
        "check_up",
        "describe",
        "layer_times",
        "capture",
        "compress",
        "compression_costs",
        "open_code",
    ),
    without=("open_code",),  # which says what there is to load
)

OPENING = Verbs(
    functions={
        "admit": "core.models.formats.arrival:admit",
        "bring": "core.models.formats.arrival:bring",
        "check_up": "core.checkup.confined:check_up",
    },
    loader="core.models.formats.arrival:named",
    fleeting=("admit", "bring", "check_up"),
)
"""What is done beside the workers: strangers' files are opened, and strangers' models looked over,
in processes of their own. These verbs get a reference in place of a model."""

"""Results: frozen, numpy only, the one thing that figures import."""

from core.results.architecture import Architecture, Fit, LayerInfo
from core.results.attention import (
    AttentionAxis,
    AttentionFlow,
    AttentionLayer,
    AttentionMaps,
    AttentionOverview,
)
from core.results.attribution import Attribution, MeanWord
from core.results.behaviour import (
    Behaviour,
    CrossSimilarity,
    GradientFlow,
    Insides,
    LayerBehaviour,
    LayerTimes,
    Probes,
    WithoutUnits,
)
from core.results.checkup import CheckUp, Finding
from core.results.comparison import (
    AttentionContrast,
    AttributionContrast,
    Comparison,
    PairedMeasure,
    PairedTest,
    WrittenContrast,
)
from core.results.compression import Cost, Costs, Drift, Slice, Sweep
from core.results.concepts import ConceptScores
from core.results.counterfactual import Counterfactual, RowChange
from core.results.evaluation import (
    Curve,
    Evaluation,
    Group,
    Groups,
    Measure,
    Reliability,
    Written,
)
from core.results.flip import Flip
from core.results.history import BlobSeries, HistogramSeries, History, Series
from core.results.importance import Dependence, Importance, Interaction
from core.results.influence import Influence
from core.results.lens import LogitLens
from core.results.prediction import Prediction
from core.results.production import Production
from core.results.projection import Clusters, Placement, Projection, Trust
from core.results.surrogate import Surrogate
from core.results.survey import DataSurvey
from core.results.units import Filters, RelevantExamples, UnitAttribution

__all__ = [
    "Architecture",
    "AttentionAxis",
    "AttentionContrast",
    "AttentionFlow",
    "AttentionLayer",
    "AttentionMaps",
    "AttentionOverview",
    "Attribution",
    "AttributionContrast",
    "Behaviour",
    "BlobSeries",
    "CheckUp",
    "Clusters",
    "Comparison",
    "ConceptScores",
    "Cost",
    "Costs",
    "Counterfactual",
    "CrossSimilarity",
    "Curve",
    "DataSurvey",
    "Dependence",
    "Drift",
    "Evaluation",
    "Filters",
    "Finding",
    "Fit",
    "Flip",
    "GradientFlow",
    "Group",
    "Groups",
    "HistogramSeries",
    "History",
    "Importance",
    "Influence",
    "Insides",
    "Interaction",
    "LayerBehaviour",
    "LayerInfo",
    "LayerTimes",
    "LogitLens",
    "MeanWord",
    "Measure",
    "PairedMeasure",
    "PairedTest",
    "Placement",
    "Prediction",
    "Probes",
    "Production",
    "Projection",
    "RelevantExamples",
    "Reliability",
    "RowChange",
    "Series",
    "Slice",
    "Surrogate",
    "Sweep",
    "Trust",
    "UnitAttribution",
    "WithoutUnits",
    "Written",
    "WrittenContrast",
]

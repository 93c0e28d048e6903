"""scikit-learn estimators: the library's networks for pipelines, searches, cross-validation.

The only package that imports scikit-learn at its top; `import pellucid` leaves it alone.
"""

from .mistake_bound import mistake_bound
from .mlp import MLPClassifier, MLPRegressor
from .perceptron import Perceptron
from .perceptron_trace import Presentation, Trace

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "Perceptron",
    "Presentation",
    "Trace",
    "mistake_bound",
]

"""scikit-learn estimators: the library's networks for pipelines, searches, cross-validation.

`base` is read first: what a network learns by, and how. The only package that imports
scikit-learn at its top; `import pellucid` leaves it alone.
"""

from .autoencoder import Autoencoder, DenoisingAutoencoder
from .linear import LinearRegression, LogisticRegression
from .mistake_bound import mistake_bound
from .mlp import MLPClassifier, MLPRegressor
from .net import NetClassifier, NetRegressor
from .perceptron import Perceptron
from .perceptron_trace import Presentation, Trace
from .rbm import BernoulliRBM

__all__ = [
    "Autoencoder",
    "BernoulliRBM",
    "DenoisingAutoencoder",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "NetClassifier",
    "NetRegressor",
    "Perceptron",
    "Presentation",
    "Trace",
    "mistake_bound",
]

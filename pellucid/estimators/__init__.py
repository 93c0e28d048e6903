"""scikit-learn estimators: the library's networks for pipelines, searches, cross-validation.

`base` is read first: what a network learns by, and how. The only package that imports
scikit-learn at its top; `import pellucid` leaves it alone.
"""

from .autoencoder import Autoencoder, DenoisingAutoencoder
from .conv import ConvClassifier, ConvRegressor
from .linear import LinearRegression, LogisticRegression
from .mistake_bound import mistake_bound
from .mlp import MLPClassifier, MLPRegressor
from .multi_output import MLPMultiOutput
from .net import NetClassifier, NetRegressor
from .perceptron import Perceptron
from .perceptron_trace import Presentation, Trace
from .rbm import BernoulliRBM

__all__ = [
    "Autoencoder",
    "BernoulliRBM",
    "ConvClassifier",
    "ConvRegressor",
    "DenoisingAutoencoder",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MLPMultiOutput",
    "MLPRegressor",
    "NetClassifier",
    "NetRegressor",
    "Perceptron",
    "Presentation",
    "Trace",
    "mistake_bound",
]

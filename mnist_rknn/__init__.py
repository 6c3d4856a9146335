"""From a handwritten digit to an INT8 model for the RV1106: what notebooks and command share."""

__version__ = "1.0.0"

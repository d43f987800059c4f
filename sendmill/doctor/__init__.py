"""`sendmill doctor`: what of a system is as it should be, and what to do about the rest. Nothing is changed."""

from sendmill.doctor.configuration import examine_configuration
from sendmill.doctor.findings import Finding
from sendmill.doctor.system import examine

__all__ = ["Finding", "examine", "examine_configuration"]

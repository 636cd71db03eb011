"""The interface of the standard at /epcis."""

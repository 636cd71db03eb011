"""The Core Business Vocabulary: which bare words stand for which web URIs, in which field (CBV 2.0, section 7)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

CBV: Final = "https://ref.gs1.org/cbv/"
WEB_VOCABULARY: Final = "https://gs1.org/voc/"


class Kind(StrEnum):
    """A list of words; the value is what the words carry before them in a CBV URI."""

    BIZ_STEP = "BizStep-"
    DISPOSITION = "Disp-"
    TRANSACTION = "BTT-"
    SOURCE = "SDT-"
    REASON = "ER-"
    COMPONENT = "Comp-"
    MEASUREMENT = "measurement"
    ALERT = "alert"


_WORDS: Final[Mapping[Kind, str]] = {
    Kind.BIZ_STEP: (
        "accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting "
        "decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting "
        "installing killing loading other packing picking receiving removing repackaging repairing replacing reserving "
        "retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing transporting "
        "unloading unpacking void_shipping"
    ),
    Kind.DISPOSITION: (
        "active available completeness_verified completeness_inferred conformant container_closed container_open "
        "damaged destroyed dispensed disposed encoded expired in_progress in_transit inactive mismatch_instance "
        "mismatch_class mismatch_quantity needs_replacement no_pedigree_match non_conformant non_sellable_other "
        "partially_dispensed recalled reserved retail_sold returned sellable_accessible sellable_not_accessible stolen "
        "unavailable unknown"
    ),
    Kind.TRANSACTION: "bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt",
    Kind.SOURCE: "owning_party possessing_party location",
    Kind.REASON: "did_not_occur incorrect_data",
    Kind.COMPONENT: (
        "x y z axial_distance azimuth height spherical_radius polar_angle elevation_angle easting northing latitude "
        "longitude altitude"
    ),
    Kind.MEASUREMENT: (
        "AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Radioactivity Altitude AmountOfSubstance "
        "AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance "
        "Conductance Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity "
        "ElectricCharge ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency "
        "Illuminance Inductance Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux "
        "LuminousIntensity MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass MassConcentration "
        "MassFlowRate MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass MolarVolume Power Pressure "
        "RadiantFlux RadiantIntensity RelativeHumidity Resistance Resistivity SolidAngle SpecificVolume Speed "
        "SurfaceDensity SurfaceTension Temperature Time Torque Voltage Volume VolumeFlowRate VolumeFraction "
        "VolumetricFlux Wavenumber"
    ),
    Kind.ALERT: "ALARM_CONDITION ERROR_CONDITION",
}
_OWN_PREFIX: Final = frozenset({Kind.MEASUREMENT, Kind.ALERT})
WORDS: Final[Mapping[Kind, frozenset[str]]] = {kind: frozenset(words.split()) for kind, words in _WORDS.items()}
_URIS: Final[Mapping[Kind, Mapping[str, str]]] = {
    kind: {word: f"{WEB_VOCABULARY}{word}" if kind in _OWN_PREFIX else f"{CBV}{kind}{word}" for word in words}
    for kind, words in WORDS.items()
}
_BARE: Final[Mapping[str, str]] = {uri: word for uris in _URIS.values() for word, uri in uris.items()}
# EPCIS 1.x wrote the same words as URNs.
_URN: Final = "urn:epcglobal:cbv:"
_URN_KINDS: Final[Mapping[str, Kind]] = {
    "bizstep": Kind.BIZ_STEP,
    "disp": Kind.DISPOSITION,
    "btt": Kind.TRANSACTION,
    "sdt": Kind.SOURCE,
    "er": Kind.REASON,
}
# Two addresses of one vocabulary; later editions moved it.
_MOVED: Final = ("https://ref.gs1.org/voc/", "http://gs1.org/voc/", "https://www.gs1.org/voc/")


def expand(kind: Kind, text: str) -> str:
    """Return the web URI of a word; what is no word of this kind stays as it is."""
    return _URIS[kind].get(text, text)


def from_urn(text: str) -> str:
    """Return the web URI for a vocabulary URN of EPCIS 1.x; anything else stays as it is."""
    if not text.startswith(_URN):
        return text
    name, _, word = text.removeprefix(_URN).partition(":")
    kind = _URN_KINDS.get(name)
    return f"{CBV}{kind}{word}" if kind else text


def shorten(text: str) -> str:
    """Return the bare word for a URI or URN of the vocabulary; anything else stays as it is."""
    text = from_urn(text)
    for moved in _MOVED:
        if text.startswith(moved):
            text = WEB_VOCABULARY + text.removeprefix(moved)
    return _BARE.get(text, text)

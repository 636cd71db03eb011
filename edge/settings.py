"""What the agents need to know, from the environment (`EDGE_…`)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.messages import Activity
from edge.outbox.outbox import DEFAULT_LIMIT

_NAME = "^[A-Za-z0-9_-]{1,64}$"


class OutboxSettings(BaseSettings):
    """Where an agent keeps what it has captured."""

    model_config = SettingsConfigDict(
        env_prefix="EDGE_",
        frozen=True,
        extra="forbid",
        # One file a secret, as containers get them; a folder that is missing would be warned of.
        secrets_dir="/run/secrets" if Path("/run/secrets").is_dir() else None,
    )

    data: Path = Field(description="Folder of this agent alone; its outbox is outbox.db in it.")
    outbox_limit: Annotated[int, Field(ge=1000, le=10_000_000)] = Field(
        DEFAULT_LIMIT, description="Most events that may wait for the server; beyond it scans are refused."
    )


class AgentSettings(OutboxSettings):
    """What stations and shelves have in common; frozen, built once and passed in."""

    device: str = Field(pattern=_NAME, description="Name of this device in the registry; also its MQTT client id.")
    site: str = Field(pattern=_NAME, description="Site where the device is registered.")
    broker_host: str = Field("127.0.0.1", min_length=1, description="Host of the MQTT broker.")
    broker_port: Annotated[int, Field(ge=1, le=65535)] = Field(1883, description="Port of the MQTT broker.")
    broker_user: str = Field("", description="MQTT user; the device's name unless given.")
    broker_password: SecretStr | None = Field(None, description="Password of the MQTT user; none with certificates.")
    tls_ca: Path | None = Field(None, description="Certificate authority of the broker; given, the link is encrypted.")
    tls_cert: Path | None = Field(None, description="Certificate of this device, PEM.")
    tls_key: Path | None = Field(None, description="Private key of this device, PEM.")


class StationSettings(AgentSettings):
    """Settings of a scanning station."""

    source: str = Field(
        pattern="^(folder|serial|camera|video):.+$",
        description="What reads the codes: folder:PATH, serial:PATH, camera:INDEX or camera:PATH, video:PATH.",
    )
    activity: Activity = Field(Activity.OBSERVE, description="What the station does while no order is begun.")
    expected: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="Codes that one picture shows; with fewer the decoder looks harder."
    )
    repeat_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        3.0, description="A code read again within this time is the same scan."
    )
    scanner_baud: Annotated[int, Field(ge=300, le=4_000_000)] = Field(115_200, description="Speed of a serial scanner.")
    scanner_prefix: str = Field(
        "", max_length=16, description="What a serial scanner is set to send before each code; lines without are noise."
    )
    scanner_answers: bool = Field(
        default=False, description="The serial scanner waits for ACK or NAK, so that its beep follows the verdict."
    )
    manifest_key: str = Field(
        "",
        pattern=r"^([A-Za-z0-9+/]{43}=)?$",
        description="Public key of the site's manifests, base64; given, units are judged by the manifest.",
    )
    trace_url: str = Field(
        "", pattern=r"^(https?://\S+)?$", description="Address of the trace service, for manifests and reports."
    )
    trace_token: SecretStr | None = Field(None, description="This device's token for the trace service.")
    enforce: bool = Field(
        default=True, description="With a manifest: what is wrong is not shipped and stops the station until released."
    )
    hub: str = Field("", pattern=r"^([^\s:]+:\d{1,5})?$", description="The site's hub, HOST:PORT; none without.")
    hub_secret: SecretStr | None = Field(None, description="Secret that the hub and the stations of one site share.")
    kiosk_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0, description="Port on 127.0.0.1 of the station's own screen; 0 serves none."
    )
    evidence_mb: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        2000, description="Most megabytes of pictures to keep as evidence; 0 keeps none."
    )


class HubSettings(BaseSettings):
    """Settings of a site's hub."""

    model_config = OutboxSettings.model_config

    data: Path = Field(description="Folder of the hub alone; its claims are hub.db in it.")
    hub_secret: SecretStr = Field(description="Secret that the hub and the stations of one site share.", min_length=16)
    hub_host: str = Field("127.0.0.1", min_length=1, description="Address on which the hub listens.")
    hub_port: Annotated[int, Field(ge=0, le=65535)] = Field(7420, description="Port of the hub.")


class ShelfSettings(AgentSettings):
    """Settings of a shelf agent."""

    serial: str = Field(
        min_length=1,
        description="Shelf controllers, separated by commas: /dev/ttyUSB0, /dev/ttyUSB0#2 or tcp://HOST:502#2.",
    )
    planogram: Path = Field(description="JSON file that says which product lies on which channel.")
    climate: Path | None = Field(None, description="JSON file with the limits of the climate; without it, no alarms.")
    trace_url: str = Field(
        "", pattern=r"^(https?://\S+)?$", description="Address of the trace service, which announces refills."
    )
    trace_token: SecretStr | None = Field(None, description="This device's token for the trace service.")


class CameraSettings(AgentSettings):
    """Settings of the agent of a shelf camera."""

    pictures: str = Field(
        pattern="^(folder|file|camera):.+$",
        description="Where pictures come from: folder:PATH, file:PATH, camera:INDEX or camera:ADDRESS (rtsp://…).",
    )
    slots: Path = Field(description="JSON file of the facings and their places in the picture.")
    full: Path = Field(description="Picture of the shelf quite full.")
    empty: Path = Field(description="Picture of the shelf quite empty.")
    look_seconds: Annotated[float, Field(ge=0.2, le=3600)] = Field(5.0, description="Seconds from look to look.")

"""What ingest needs to know, from the environment (`INGEST_…`)."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contracts.topics import PARTITIONS


def _partitions(text: object) -> object:
    """Read `0-7,12` as the numbers that it names."""
    if not isinstance(text, str):
        return text
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not low <= high < PARTITIONS:
            raise ValueError(f"{part!r} is no range of partitions between 0 and {PARTITIONS - 1}")
        numbers.update(range(low, high + 1))
    return tuple(sorted(numbers))


class IngestSettings(BaseSettings):
    """Settings of one ingest worker; frozen, built once and passed in."""

    model_config = SettingsConfigDict(
        env_prefix="INGEST_",
        frozen=True,
        extra="forbid",
        # One file a secret, as containers get them; a folder that is missing would be warned of.
        secrets_dir="/run/secrets" if Path("/run/secrets").is_dir() else None,
    )

    database_url: SecretStr = Field(description="PostgreSQL of the least-privileged role codefence_ingest, as a URL.")
    broker_host: str = Field("127.0.0.1", description="Host of the MQTT broker.")
    broker_port: Annotated[int, Field(ge=1, le=65535)] = Field(1883, description="Port of the MQTT broker.")
    broker_user: str = Field("ingest", description="MQTT user; the only one that may write acknowledgements.")
    broker_password: SecretStr | None = Field(
        None, description="Password of the MQTT user; none where a certificate says who this is."
    )
    orders_user: str = Field(
        "", description="MQTT user of commands like pause, so that none ends a worker's session; broker_user without."
    )
    orders_password: SecretStr | None = Field(None, description="Password of that user.")
    client_id: str = Field(
        "ingest-0", pattern="^[A-Za-z0-9_-]{1,64}$", description="Fixed MQTT client id of this worker."
    )
    consumer: Literal["lean", "paho"] = Field(
        "lean", description="The MQTT client: this project's own, or the reference on paho-mqtt."
    )
    partitions: Annotated[tuple[int, ...], NoDecode, BeforeValidator(_partitions)] = Field(
        tuple(range(PARTITIONS)), min_length=1, description="The partitions that this worker serves, such as 0-7."
    )
    session_per_partition: bool = Field(
        default=False, description="A session for each partition: for workers that share the load on NATS."
    )
    tls_ca: Path | None = Field(None, description="CA certificate of the broker; TLS is used when it is given.")
    tls_cert: Path | None = Field(None, description="This worker's certificate, where the broker asks for one.")
    tls_key: Path | None = Field(None, description="Private key of that certificate.")
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = Field(1000, description="Most events in one transaction.")
    flush_ms: Annotated[int, Field(ge=1, le=1000)] = Field(20, description="Longest wait before a batch is written.")
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Port on the loopback address for Prometheus; none without it."
    )
    maintenance_seconds: Annotated[float, Field(ge=0.1, le=3600)] = Field(
        60, description="How often one worker adds up rollups, looks for gaps and removes what is old."
    )
    gap_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        60, description="How long a hole in a device's numbers may stand still before the device is asked for it."
    )
    retention_days: Annotated[int, Field(ge=31, le=36_500)] = Field(
        730, description="How long scans, stock figures and status messages are kept."
    )
    record_retention_days: Annotated[int, Field(ge=31, le=36_500)] = Field(
        730,
        description="How long dead letters are kept once they are replayed or closed, and gaps once they are closed.",
    )
    environment_retention_days: Annotated[int, Field(ge=31, le=36_500)] = Field(
        90, description="How long single temperatures are kept; their rollups stay."
    )

    @model_validator(mode="after")
    def _orders_account_is_whole(self) -> Self:
        if bool(self.orders_user) != (self.orders_password is not None):
            raise ValueError("INGEST_ORDERS_USER and INGEST_ORDERS_PASSWORD belong together")
        return self

    @model_validator(mode="after")
    def _sessions_are_lean(self) -> Self:
        if self.session_per_partition and self.consumer != "lean":
            raise ValueError("INGEST_SESSION_PER_PARTITION needs INGEST_CONSUMER=lean")
        return self

    @model_validator(mode="after")
    def _broker_knows_the_worker(self) -> Self:
        if self.broker_password is None and self.tls_cert is None:
            raise ValueError("INGEST_BROKER_PASSWORD: Field required, or INGEST_TLS_CERT")
        return self

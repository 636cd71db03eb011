"""What ingest needs to know, from the environment (`INGEST_…`)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    broker_password: SecretStr = Field(description="Password of the MQTT user.")
    client_id: str = Field(
        "ingest-0", pattern="^[A-Za-z0-9_-]{1,64}$", description="Fixed MQTT client id of this worker."
    )
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = Field(1000, description="Most events in one transaction.")
    flush_ms: Annotated[int, Field(ge=1, le=1000)] = Field(20, description="Longest wait before a batch is written.")
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Port on the loopback address for Prometheus; none without it."
    )

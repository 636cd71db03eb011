"""What the trace service needs to know, from the environment (`TRACE_…`)."""

import base64
import binascii
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class TraceSettings(BaseSettings):
    """Settings of worker, console and migrations; frozen, built once and passed in."""

    model_config = SettingsConfigDict(
        env_prefix="TRACE_",
        frozen=True,
        extra="forbid",
        # One file a secret, as containers get them; a folder that is missing would be warned of.
        secrets_dir="/run/secrets" if Path("/run/secrets").is_dir() else None,
    )

    database_url: SecretStr = Field(description="PostgreSQL of the least-privileged role codefence_trace, as a URL.")
    owner_url: SecretStr | None = Field(
        None, description="PostgreSQL of the schema's owner, for `trace migrate` and for changing keys."
    )
    ingest_password: SecretStr | None = Field(
        None, description="Given to the role codefence_ingest by `trace migrate`."
    )
    trace_password: SecretStr | None = Field(None, description="Given to the role codefence_trace by `trace migrate`.")
    key_encryption_key: SecretStr = Field(description="32 bytes in base64; wraps every code master at rest.")
    http_host: str = Field("127.0.0.1", description="Address on which the console listens.")
    http_port: Annotated[int, Field(ge=1, le=65535)] = Field(8080, description="Port of the console.")
    worker_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Port on the loopback address for the worker's health and metrics; none without it."
    )
    https: bool = Field(
        default=False, description="Behind a TLS proxy: cookies are Secure and carry the __Host- prefix."
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        (IPv4Network("127.0.0.1/32"), IPv6Network("::1/128")),
        description="Networks of proxies whose X-Forwarded-For tells the visitor's address, a JSON list.",
    )
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description='Networks that webhooks may reach besides public addresses, a JSON list: ["10.1.0.0/16"].'
    )
    console_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$")] | None = Field(
        None, description="Address of the console in messages, such as https://codefence.example.com."
    )
    smtp_host: str | None = Field(None, description="Mail server; without one no mail is sent.")
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = Field(587, description="Port of the mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the mail server is spoken to: starttls (587), tls (465), or none on this machine."
    )
    smtp_user: str | None = Field(None, description="Log-in at the mail server.")
    smtp_password: SecretStr | None = Field(None, description="Its password.")
    smtp_from: str = Field("codefence@localhost", description="Whom mail comes from.")
    replenish_at: str = Field(
        "30 2 * * *", description="When each night's replenishment run begins: five cron fields, the stores' time."
    )
    replenish_fill: Annotated[float, Field(ge=0.5, le=0.999)] = Field(
        0.95, description="Fill rate that the nightly replenishment run aims at."
    )
    inspect_at: str = Field(
        "0 4 * * *", description="When each night's plan of inspections is made: five cron fields, the stores' time."
    )
    company_prefix_digits: Annotated[int, Field(ge=6, le=12)] = Field(
        7, description="Digits of the GS1 company prefix, for partners that ask for EPC URNs."
    )
    map: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        "tianditu",
        description="The map that territories are made of: tianditu, amap, world, or an imported file *.map.",
    )
    index_folder: Path | None = Field(
        None, description="Folder for the map's index, which all processes share; without it each reads the map itself."
    )
    label_host: str = Field("id.codefence.example", description="Host in the Digital Link URIs on printed labels.")

    @field_validator("key_encryption_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        try:
            size = len(base64.b64decode(value.get_secret_value(), validate=True))
        except binascii.Error as error:
            raise ValueError("not base64; make one with: openssl rand -base64 32") from error
        if size != 32:  # noqa: PLR2004  a 256-bit key
            raise ValueError(f"{size} bytes, 32 are needed; make one with: openssl rand -base64 32")
        return value

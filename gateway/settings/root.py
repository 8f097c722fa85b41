"""The whole configuration: read in layers, judged at once, handed to each part in its own type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Annotated, Any, TypeVar

from msgspec.structs import replace
from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.csms.endpoint import LinkConfig
from gateway.mqtt.broker import MqttConfig
from gateway.mqtt.profiles.fleet import Binding, subscriptions
from gateway.mqtt.profiles.translator import Translator
from gateway.mqtt.topics import Subscription, Topics
from gateway.settings.csms import Csms
from gateway.settings.general import Gateway, HealthPort, HomeAssistant, Log, Mqtt, Store
from gateway.settings.layers import Layers, at_base
from gateway.settings.problems import Problem, SettingsError, translated
from gateway.settings.sources import (
    SECRETS_DIR,
    SECRETS_VARIABLE,
    Document,
    from_environment,
    from_secret_files,
)
from gateway.settings.stations import Station, StationDefaults
from gateway.settings.words import Finding, Text, refuse
from gateway.station.model import StationConfig
from gateway.station.variables import Variables

T = TypeVar("T")


class Settings(BaseSettings):
    """Everything that an operator can decide."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    mqtt: Annotated[
        Mqtt, Field(title="MQTT", description="The broker that devices and the gateway meet at.")
    ] = Mqtt()
    store: Annotated[
        Store, Field(title="Store", description="Where facts are kept until the CSMS knows them.")
    ] = Store()
    log: Annotated[Log, Field(title="Log", description="What the gateway says about itself.")] = Log()
    health: Annotated[
        HealthPort,
        Field(title="Health", description="`/health` (200 or 503, JSON) and `/metrics` (Prometheus)."),
    ] = HealthPort()
    gateway: Annotated[
        Gateway,
        Field(title="Gateway", description="The heartbeat that devices need to keep a contactor closed."),
    ] = Gateway()
    home_assistant: Annotated[
        HomeAssistant,
        Field(title="Home Assistant", description="It finds the stations by MQTT discovery."),
    ] = HomeAssistant()
    csms: Annotated[
        dict[Text, Csms],
        Field(title="Shared CSMS entries", description="Named, for the `csms` of several stations."),
    ] = {}
    defaults: Annotated[
        StationDefaults,
        Field(title="Defaults", description="What holds for stations that do not say otherwise."),
    ] = StationDefaults()
    stations: Annotated[
        tuple[Station, ...],
        Field(
            title="Stations",
            description="A list, or a mapping of names and stations; any number.",
            min_length=1,
        ),
    ]

    _index: dict[str, Station] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load` has laid all sources over each other; only so the environment can name a station."""
        return (init_settings,)

    @model_validator(mode="after")
    def _one_socket_per_identity(self) -> Settings:
        findings: list[Finding] = []
        seen: dict[tuple[str | None, str], str] = {}
        for index, station in enumerate(self.stations):
            here = (station.csms.url, (station.identity or station.name).casefold())
            other = seen.setdefault(here, station.name)
            if other != station.name:
                findings.append(
                    Finding(
                        ("stations", index, "identity"), f"is that of station {other} too, at the same CSMS"
                    )
                )
        findings += self._device_findings()
        if findings:
            refuse(findings)
        self._index.update((station.name, station) for station in self.stations)
        return self

    def _device_findings(self) -> Iterator[Finding]:
        """Topics of devices that are our own, and switches that two connectors want to be."""
        ours = f"{self.mqtt.prefix}/"
        owners: dict[object, str] = {}
        for index, station in enumerate(self.stations):
            for binding in station.bindings():
                here = f"{station.name}/{binding.n}"
                translator = Translator(binding.profile, binding.parameters)
                told = translator.published()
                if below := [
                    topic for topic in (*translator.subscriptions(), *told) if topic.startswith(ours)
                ]:
                    sentence = (
                        f"has a device with the topic {below[0]}, which is below the gateway's own prefix"
                    )
                    yield Finding(("stations", index), sentence, hidden=True)
                device = (binding.profile.name, *sorted(binding.parameters.items()))
                other = owners.setdefault(device, here) if binding.profile.on else here
                if other != here:
                    sentence = f"has the same device at {here} as {other}: only one connector can switch it"
                    yield Finding(("stations", index), sentence, hidden=True)

    def station_configs(self) -> list[StationConfig]:
        """All stations as the core knows them; what is equal is shared, for the sake of thousands."""
        shared: dict[object, object] = {}

        def once(value: T) -> T:
            return shared.setdefault(value, value)  # type: ignore[return-value]  # equal values have one type

        configs = []
        for station in self.stations:
            core = station.to_core(self.gateway.valid_s)
            connectors = tuple(map(once, core.connectors))
            configs.append(replace(core, policy=once(core.policy), connectors=once(connectors)))
        return configs

    def link_config(self, station: str) -> LinkConfig:
        """How the station with this name reaches its CSMS; KeyError when there is none."""
        found = self._index[station]
        csms = found.csms
        variables = Variables(found.to_core(self.gateway.valid_s), {})
        return LinkConfig(
            url=csms.url or "",
            secure_url=csms.secure_url,
            identity=found.identity or found.name,
            append_identity=csms.append_identity,
            assume_subprotocol=csms.assume_subprotocol,
            security_profile=csms.profile(),
            password=csms.secret(),
            ca_file=_text(csms.ca_file),
            client_cert_file=_text(csms.client_cert_file),
            client_key_file=_text(csms.client_key_file),
            ping_interval_s=variables.ping_interval_s,
            wait_minimum_s=variables.backoff_minimum_s,
            random_range_s=variables.backoff_random_s,
            repeat_times=variables.backoff_repeats,
        )

    def bindings(self) -> list[Binding]:
        """All devices that speak topics of their own."""
        return [binding for station in self.stations for binding in station.bindings()]

    def _births(self) -> tuple[Subscription, ...]:
        if self.home_assistant.form(len(self.stations)) is None:
            return ()
        return (Subscription(self.home_assistant.birth_topic(), 0, 0),)

    def topics(self) -> Topics:
        """The topics below the configured prefix."""
        return Topics(self.mqtt.prefix, self.mqtt.reply_prefixes)

    def mqtt_config(self, instance: str, will: tuple[str, bytes, int, bool] | None = None) -> MqttConfig:
        """How the gateway that calls itself `instance` reaches the broker, and what is said when it dies."""
        mqtt, topics = self.mqtt, self.topics()
        return MqttConfig(
            url=mqtt.url,
            client_id=mqtt.client_id,
            marker_topic=topics.marker(instance),
            subscriptions=(*topics.subscriptions(), *subscriptions(self.bindings()), *self._births()),
            username=mqtt.username,
            password=mqtt.secret(),
            ca_file=mqtt.ca_file,
            certificate_file=mqtt.client_cert_file,
            key_file=mqtt.client_key_file,
            protocol=mqtt.protocol,
            keepalive_s=mqtt.keepalive_s,
            will=will,
        )


def load(path: FilePath, environ: Mapping[str, str], added: Sequence[Mapping[str, Any]] = ()) -> Settings:
    """Read and judge a configuration: the file, over it the directory of secrets, over that the environment.

    `added` are stations that were taken in while the gateway ran, by the template of `gateway`.
    Raises SettingsError with everything that is wrong.
    """
    document = Document(path)
    layers = Layers(document.data)
    secrets, problems = from_secret_files(
        FilePath(environ.get(SECRETS_VARIABLE, SECRETS_DIR)), layers.secret_names()
    )
    for where, secret, file in secrets:
        layers.lay_secret(where, secret, file)
    laid, wrong = from_environment(environ, Settings)
    layers.lay(laid)
    layers.add_stations(added)
    tree = at_base(layers.merged(), path.parent)
    problems += wrong
    problems += layers.problems
    settings = None
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        problems += [
            Problem(layers.origin(where), sentence) for where, sentence in translated(error, Settings)
        ]
    if problems or settings is None:
        located = [_located(problem, layers, document) for problem in dict.fromkeys(problems)]
        raise SettingsError(str(path), sorted(located, key=lambda problem: problem.line or 0))
    return settings


def _located(problem: Problem, layers: Layers, document: Document) -> Problem:
    variable = problem.variable or layers.variable(problem.path)
    line = problem.line or (document.line(problem.path) if problem.path and variable is None else None)
    return problem._replace(variable=variable, line=line)


def _text(file: FilePath | None) -> str | None:
    return None if file is None else str(file)

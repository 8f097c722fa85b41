"""Certificates: the station's own, and those of the authorities that it trusts (# A02, A03, M03, M04, M05)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling
from gateway.csms.v201.words import status_result
from gateway.station.certificate_work import (
    CertificateDeletionRequested,
    CertificateGiven,
    CertificateHash,
    CertificateSigned,
    CertificatesReply,
    CertificatesRequested,
)
from gateway.station.reports import SigningAnswer, SigningRequest

_OWN = "ChargingStationCertificate"


def _signing_calls(report: SigningRequest) -> list[Call]:
    return [Call("SignCertificate", {"csr": report.request, "certificateType": _OWN})]


def _signing_answer(_report: SigningRequest, _step: int, payload: Payload) -> SigningAnswer:
    return SigningAnswer(accepted=payload["status"] == "Accepted")


def _signed(payload: Payload) -> CertificateSigned:
    # One for ISO 15118 was never asked for: no chain is what the station cannot use.
    ours = payload.get("certificateType", _OWN) == _OWN
    return CertificateSigned(payload["certificateChain"] if ours else "")


def _install(payload: Payload) -> CertificateGiven:
    return CertificateGiven(payload["certificateType"], payload["certificate"])


def _ids(payload: Payload) -> CertificatesRequested:
    return CertificatesRequested(tuple(payload.get("certificateType", ())))


def _ids_result(_request: Payload, reply: CertificatesReply) -> Payload:
    if reply.status == "NotFound":
        return {"status": "NotFound"}
    return {
        "status": "Accepted",
        "certificateHashDataChain": [
            {"certificateType": use, "certificateHashData": _hash_data(name)}
            for use, name in reply.certificates
        ],
    }


def _hash_data(name: CertificateHash) -> Payload:
    return {
        "hashAlgorithm": name.algorithm,
        "issuerNameHash": name.issuer_name,
        "issuerKeyHash": name.issuer_key,
        "serialNumber": name.serial,
    }


def _delete(payload: Payload) -> CertificateDeletionRequested:
    data = payload["certificateHashData"]
    return CertificateDeletionRequested(
        CertificateHash(
            data["hashAlgorithm"], data["issuerNameHash"], data["issuerKeyHash"], data["serialNumber"]
        )
    )


BLOCK = Block(
    tells={SigningRequest: Telling(_signing_calls, _signing_answer)},
    hears={
        "CertificateSigned": Hearing(_signed, status_result("Accepted")),
        "InstallCertificate": Hearing(_install, status_result("Accepted", "Rejected", otherwise="Failed")),
        "GetInstalledCertificateIds": Hearing(_ids, _ids_result),
        "DeleteCertificate": Hearing(_delete, status_result("Accepted", "NotFound", otherwise="Failed")),
    },
)

"""Certificates under the names of the 1.6 security whitepaper (# A02, M03, M04, M05)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling
from gateway.csms.v16.words import status_result
from gateway.station.certificate_work import (
    CSMS_ROOT,
    MANUFACTURER_ROOT,
    CertificateDeletionRequested,
    CertificateGiven,
    CertificateHash,
    CertificateSigned,
    CertificatesReply,
    CertificatesRequested,
)
from gateway.station.reports import SigningAnswer, SigningRequest

_USES = {"CentralSystemRootCertificate": CSMS_ROOT, "ManufacturerRootCertificate": MANUFACTURER_ROOT}


def _install(payload: Payload) -> CertificateGiven:
    return CertificateGiven(_USES[payload["certificateType"]], payload["certificate"])


def _ids(payload: Payload) -> CertificatesRequested:
    return CertificatesRequested((_USES[payload["certificateType"]],))


def _ids_result(_request: Payload, reply: CertificatesReply) -> Payload:
    if reply.status == "NotFound":
        return {"status": "NotFound"}
    return {"status": "Accepted", "certificateHashData": [_hash_data(name) for _, name in reply.certificates]}


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


def _signing_calls(report: SigningRequest) -> list[Call]:
    return [Call("SignCertificate", {"csr": report.request})]


def _signing_answer(_report: SigningRequest, _step: int, payload: Payload) -> SigningAnswer:
    return SigningAnswer(accepted=payload["status"] == "Accepted")


def _signed(payload: Payload) -> CertificateSigned:
    return CertificateSigned(payload["certificateChain"])


BLOCK = Block(
    tells={SigningRequest: Telling(_signing_calls, _signing_answer)},
    hears={
        "InstallCertificate": Hearing(
            _install, status_result({"Accepted": "Accepted", "Rejected": "Rejected"}, otherwise="Failed")
        ),
        "GetInstalledCertificateIds": Hearing(_ids, _ids_result),
        "CertificateSigned": Hearing(_signed, status_result({"Accepted": "Accepted"}, otherwise="Rejected")),
        "DeleteCertificate": Hearing(
            _delete, status_result({"Accepted": "Accepted", "NotFound": "NotFound"}, otherwise="Failed")
        ),
    },
)

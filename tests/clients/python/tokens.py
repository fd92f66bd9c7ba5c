"""Tokens by PyJWT and signed requests by http-message-signatures: one JSON object a line, for tokens.rs to verify."""

import base64
import hashlib
import json
import time

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = int(time.time())
SECRET = bytes(range(64))


def say(**line):
    print(json.dumps(line))


def tokens():
    rsa_key = rsa.generate_private_key(65537, 2048)
    keys = {
        "RS256": rsa_key, "RS384": rsa_key, "RS512": rsa_key, "PS256": rsa_key, "PS384": rsa_key, "PS512": rsa_key,
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "ES384": ec.generate_private_key(ec.SECP384R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    exporters = {"R": RSAAlgorithm, "P": RSAAlgorithm, "E": ECAlgorithm}
    claims = {"iss": "https://login.example.com/", "sub": "someone", "aud": ["ringway"], "org": {"id": "acme"},
              "iat": NOW, "nbf": NOW, "exp": NOW + 600, "rpm": 60}
    for name in ["HS256", "HS384", "HS512"]:
        jwk = json.loads(HMACAlgorithm.to_jwk(SECRET))
        token = jwt.encode(claims, SECRET, algorithm=name, headers={"kid": name})
        say(kind="token", by="PyJWT", algorithm=name, jwks={"keys": [{**jwk, "kid": name, "alg": name}]}, token=token)
    for name, key in keys.items():
        exporter = OKPAlgorithm if name == "EdDSA" else exporters[name[0]]
        jwk = json.loads(exporter.to_jwk(key.public_key()))
        token = jwt.encode(claims, key, algorithm=name, headers={"kid": name})
        say(kind="token", by="PyJWT", algorithm=name, jwks={"keys": [{**jwk, "kid": name}]}, token=token)


class Keys(HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id):
        return SECRET

    def resolve_public_key(self, key_id):
        return SECRET


def requests_signed():
    signer = HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Keys())
    body = b'{"model":"demo"}'
    for name, make in [("sha-256", hashlib.sha256), ("sha-512", hashlib.sha512)]:
        for covered in [("@method", "@target-uri"), ("@method", "@authority", "@path", "@query"), ("@method", "@request-target")]:
            request = requests.Request("POST", "http://Gateway.example:8080/v1/chat/completions?a=b&c=%20", data=body,
                                       headers={"Content-Type": "application/json"}).prepare()
            digest = base64.b64encode(make(body).digest()).decode()
            request.headers["Content-Digest"] = f"{name}=:{digest}:"
            signer.sign(request, key_id="client", covered_component_ids=(*covered, "content-digest", "content-type"),
                        nonce=f"nonce-{name}", label="sig", use_existing_digest=True)
            say(kind="request", by="http-message-signatures", method="POST", target=request.path_url,
                secret=base64.b64encode(SECRET).decode(), body=body.decode(),
                fields=[["Host", "Gateway.example:8080"], *request.headers.items()])


tokens()
requests_signed()

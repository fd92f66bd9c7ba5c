// Tokens by jose and requests signed by http-signature: one JSON object a line, for tokens.rs to verify.
// The packages are found from the folder that install.sh made (NODE_PACKAGES).

import crypto from "node:crypto";
import { createRequire } from "node:module";
import http from "node:http";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.NODE_PACKAGES}/package.json`);
const jose = await import(pathToFileURL(require.resolve("jose")));
const httpSignature = require("http-signature");

const say = (line) => console.log(JSON.stringify(line));
const claims = { org: { id: "acme" }, rpm: 60 };

async function token(algorithm, signingKey, publicKey) {
  const jwk = { ...(await jose.exportJWK(publicKey)), kid: algorithm, alg: algorithm, use: "sig" };
  const made = await new jose.SignJWT(claims)
    .setProtectedHeader({ alg: algorithm, kid: algorithm, typ: "at+jwt" })
    .setIssuer("https://login.example.com/")
    .setSubject("someone")
    .setAudience("ringway")
    .setIssuedAt()
    .setNotBefore("0s")
    .setExpirationTime("10m")
    .sign(signingKey);
  say({ kind: "token", by: "jose", algorithm, jwks: { keys: [jwk] }, token: made });
}

const families = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];
for (const algorithm of families) {
  const { privateKey, publicKey } = await jose.generateKeyPair(algorithm, { extractable: true });
  await token(algorithm, privateKey, publicKey);
}
for (const algorithm of ["HS256", "HS384", "HS512"]) {
  const secret = await jose.generateSecret(algorithm, { extractable: true });
  await token(algorithm, secret, secret);
}

const secret = crypto.randomBytes(48).toString("base64");
const body = '{"model":"demo"}';
for (const name of ["sha256", "sha512"]) {
  const digest = `${name.replace("sha", "SHA-")}=${crypto.createHash(name).update(body).digest("base64")}`;
  const target = "/v1/chat/completions?a=b&c=%20";
  const request = http.request({ host: "127.0.0.1", port: 9, method: "POST", path: target });
  request.on("error", () => {});
  request.setHeader("Host", "gateway.example");
  request.setHeader("Date", new Date().toUTCString());
  request.setHeader("Digest", digest);
  request.setHeader("Content-Type", "application/json");
  request.setHeader("Content-Length", String(Buffer.byteLength(body)));
  httpSignature.sign(request, {
    key: secret,
    keyId: "client",
    algorithm: "hmac-sha256",
    headers: ["(request-target)", "host", "date", "digest", "content-type"],
  });
  const fields = Object.entries(request.getHeaders());
  request.destroy();
  say({
    kind: "request", by: "http-signature", method: "POST", target, body, fields,
    secret: Buffer.from(secret).toString("base64"),
  });
}

// The platform's own issuer: RS256 tokens with a namespaced role claim, and the key set that verifies them.
import { createSign, generateKeyPairSync } from 'node:crypto';
import { serve } from './server.js';

export const AUDIENCE = 'live-classes';
/** Longer than the script runs. */
const LIFE_SECONDS = 3600;

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** `{url, jwksUrl, token, close}`. `token(sub, role, claims)` signs a token. */
export async function startIssuer(roleClaim) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = 'school-1';
  const keys = [{ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }];
  const { base, close } = await serve((request, response) => {
    const isKeySet = request.url === '/.well-known/jwks.json';
    response.writeHead(isKeySet ? 200 : 404, { 'content-type': 'application/json' });
    response.end(isKeySet ? JSON.stringify({ keys }) : '{}');
  });
  const url = `${base}/`;
  const token = (sub, role, claims = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const body = { iss: url, aud: AUDIENCE, sub, iat: now, exp: now + LIFE_SECONDS, [roleClaim]: [role], ...claims };
    const signed = `${base64url({ alg: 'RS256', typ: 'JWT', kid })}.${base64url(body)}`;
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(privateKey, 'base64url')}`;
  };
  return { url, jwksUrl: `${base}/.well-known/jwks.json`, token, close };
}

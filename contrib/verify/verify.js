#!/usr/bin/env node
/*
 * Checks by its signature that a request comes from ringhook.
 *
 * Copy verify() into a receiver. As a program it reads a request as it
 * came over the wire, headers, an empty line and the body:
 *
 *     node verify.js whsec_... < request
 *
 * It needs Node.js 12 and nothing else.
 */

'use strict';

const crypto = require('crypto');

const TOLERANCE = 5 * 60; // maximum difference of the clocks, in seconds

// verify returns the reason to refuse a request, null if it is valid. headers has
// the names in lower case, as Node's own. body is a Buffer with the bytes as
// they came: JSON that was parsed and written again has another signature.
function verify(secret, headers, body, now = Date.now() / 1000) {
  const id = headers['webhook-id'] || '';
  const timestamp = headers['webhook-timestamp'] || '';
  if (!id || !/^[0-9]{1,12}$/.test(timestamp)) {
    return 'no webhook-id or webhook-timestamp';
  }
  if (Math.abs(now - Number(timestamp)) > TOLERANCE) {
    return 'too old, or from the future';
  }
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const mac = crypto.createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  const want = Buffer.from(`v1,${mac}`);
  // During a change of the secret there are two signatures: one must match.
  for (const text of (headers['webhook-signature'] || '').split(' ')) {
    const got = Buffer.from(text);
    if (got.length === want.length && crypto.timingSafeEqual(got, want)) {
      return null;
    }
  }
  return 'no signature matches';
}

function main() {
  const [secret, now] = process.argv.slice(2);
  if (secret === undefined) {
    console.error('usage: verify.js SECRET [UNIX-TIME] < request');
    process.exit(2);
  }
  const request = require('fs').readFileSync(0);
  const [gap] = request.toString('latin1').match(/\r?\n\r?\n/) || [''];
  const end = gap ? request.indexOf(gap) : request.length;
  const headers = {};
  for (const line of request.toString('latin1', 0, end).split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) {
      headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
    }
  }
  const problem = verify(secret, headers, request.subarray(end + gap.length), now === undefined ? undefined : Number(now));
  console.log(problem || 'good');
  process.exit(problem ? 1 : 0);
}

module.exports = { verify };

if (require.main === module) {
  main();
}

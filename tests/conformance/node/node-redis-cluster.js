'use strict';
// node-redis's cluster client.  Arguments: whether the nodes say MOVED, and their ports.
const assert = require('assert');
const { createCluster } = require('redis');

async function use(useReplicas, ports) {
  const c = createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:' + ports[2] }], useReplicas });

  c.on('error', (e) => { throw e; });
  await c.connect();
  assert.strictEqual(c.masters.length, 1); // database 0 has one tablet
  assert.strictEqual(c.replicas.length, useReplicas ? 2 : 0);
  for (let i = 0; i < 100; i++) assert.strictEqual(await c.set('k' + i, String(i)), 'OK');
  for (let i = 0; i < 100; i++) assert.strictEqual(await c.get('k' + i), String(i));
  assert.deepStrictEqual(await Promise.all([c.incr('{v}n'), c.incr('{v}n'), c.incr('{v}n')]), [1, 2, 3]);
  assert.deepStrictEqual(await c.multi().set('{v}a', 'x').get('{v}a').exec(), ['OK', 'x']);
  assert.deepStrictEqual(await c.mGet(['{v}n', '{v}none']), ['3', null]);
  assert.strictEqual(await c.del(['{v}n', '{v}a']), 2);
  await c.close();
}

async function main() {
  const ports = process.argv.slice(3).map(Number);

  await use(false, ports);
  await use(true, ports);
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});

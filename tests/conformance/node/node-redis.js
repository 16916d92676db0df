'use strict';
// node-redis against the server on the port that is given.
const assert = require('assert');
const { createClient, WatchError } = require('redis');

async function main() {
  const r = createClient({ socket: { port: Number(process.argv[2]) }, database: 3 });

  r.on('error', (e) => { throw e; });
  await r.connect();
  await r.flushDb();
  assert.strictEqual(await r.set('user:1', 'Alice'), 'OK');
  assert.strictEqual(await r.get('user:1'), 'Alice');
  assert.strictEqual(await r.set('k', 'v', { PX: 50000, NX: true }), 'OK');
  assert.ok((await r.pTTL('k')) > 40000);
  assert.strictEqual(await r.getEx('k', { PERSIST: true }), 'v');
  assert.strictEqual(await r.ttl('k'), -1);
  assert.deepStrictEqual(await Promise.all([r.incr('n'), r.incr('n'), r.incr('n')]), [1, 2, 3]);
  assert.deepStrictEqual(await r.multi().set('a', 'x').get('a').exec(), ['OK', 'x']);

  const keys = [];
  for await (const key of r.scanIterator({ COUNT: 2 })) keys.push(key);
  assert.deepStrictEqual([...new Set(keys.flat())].sort(), ['a', 'k', 'n', 'user:1']);

  const other = r.duplicate();
  await other.connect();
  await r.watch('n');
  await other.set('n', '9');
  await assert.rejects(r.multi().incr('n').exec(), WatchError);
  await other.quit();
  await assert.rejects(r.sendCommand(['NOSUCH']), /unknown command/);
  await r.quit();
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});

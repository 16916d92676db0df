'use strict';
// ioredis against the server on the port that is given.
const assert = require('assert');
const Redis = require('ioredis');

async function main() {
  const r = new Redis({ port: Number(process.argv[2]), db: 2 });

  await r.flushdb();
  assert.strictEqual(await r.set('user:1', 'Alice'), 'OK');
  assert.strictEqual(await r.get('user:1'), 'Alice');
  assert.strictEqual(await r.set('user:1', 'Bob', 'NX'), null);
  assert.strictEqual(await r.set('t', 'v', 'EX', 100), 'OK');
  assert.ok((await r.ttl('t')) > 90);
  assert.deepStrictEqual(await r.mget('user:1', 'none'), ['Alice', null]);

  const many = r.pipeline();
  for (let i = 0; i < 1000; i++) many.incr('n');
  const results = await many.exec();
  assert.strictEqual(results[999][1], 1000);

  const unit = await r.multi().set('a', '1').incr('a').get('a').exec();
  assert.deepStrictEqual(unit.map((x) => x[1]), ['OK', 2, '2']);

  const keys = [];
  for await (const part of r.scanStream({ count: 2 })) keys.push(...part);
  assert.deepStrictEqual([...new Set(keys)].sort(), ['a', 'n', 't', 'user:1']);

  await assert.rejects(r.incr('user:1'), /not an integer/);
  const binary = Buffer.from([0, 255, 13, 10, 0]);
  await r.set(binary, binary);
  assert.ok(binary.equals(await r.getBuffer(binary)));
  r.disconnect();
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});

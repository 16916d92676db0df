'use strict';
// ioredis's cluster client.  Arguments: whether the nodes say MOVED, and their ports.
const assert = require('assert');
const Redis = require('ioredis');

async function use(scaleReads, ports) {
  const c = new Redis.Cluster([{ host: '127.0.0.1', port: ports[1] }], { scaleReads });

  assert.strictEqual(await c.set('{u}1', 'Alice'), 'OK');
  assert.strictEqual(await c.get('{u}1'), 'Alice');
  assert.strictEqual(c.nodes('all').length, 3);
  assert.strictEqual(c.nodes('master').length, 1); // database 0 has one tablet
  for (let i = 0; i < 100; i++) assert.strictEqual(await c.set('k' + i, i), 'OK');
  for (let i = 0; i < 100; i++) assert.strictEqual(await c.get('k' + i), String(i));
  assert.deepStrictEqual(await c.mget('{u}1', '{u}2'), ['Alice', null]);

  const many = c.pipeline();
  for (let i = 0; i < 500; i++) many.incr('{u}n');
  const results = await many.exec();
  assert.strictEqual(results[499][1], 500);

  const unit = await c.multi().set('{u}a', '1').incr('{u}a').get('{u}a').exec();
  assert.deepStrictEqual(unit.map((x) => x[1]), ['OK', 2, '2']);

  const keys = [];
  for await (const part of c.nodes('master')[0].scanStream({ match: '{u}*' })) keys.push(...part);
  assert.deepStrictEqual([...new Set(keys)].sort(), ['{u}1', '{u}a', '{u}n']);
  assert.strictEqual(await c.del('{u}1', '{u}a', '{u}n'), 3);
  c.disconnect();
}

// Who takes another node for the leader is corrected once, or answered all the same.
async function useWrongMap(moved, ports) {
  for (const port of ports) {
    const one = new Redis({ port });
    const failed = await one.get('k1').then(() => false, (e) => /^MOVED \d+ 127\.0\.0\.1:\d+$/.test(e.message));
    const role = (await one.cluster('NODES')).split('\n').find((line) => line.includes('myself'));

    assert.strictEqual(failed, moved && role.includes('slave'), role);
    one.disconnect();
  }
}

async function main() {
  const moved = process.argv[2] === 'yes';
  const ports = process.argv.slice(3).map(Number);

  await use('master', ports);
  await use('slave', ports);
  await use('all', ports);
  await useWrongMap(moved, ports);
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});

// Arrow Flight SQL as Node uses it, with exact answers.
//
//   HABITUE_FLIGHT=grpc://127.0.0.1:8815 HABITUE_PASSWORD=... HABITUE_READER_TOKEN=... node flight.mjs
//
// Ends with an error at the first answer that is another one.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

// The packages lie where ../run installed them, not beside this file.
const require = createRequire(`${process.env.HABITUE_NODE_FOLDER}/`);
const { createFlightSqlClient } = require('@lakehouse-rs/flight-sql-client');
const { tableFromIPC } = require('apache-arrow');

const address = new URL(process.env.HABITUE_FLIGHT);
const place = { tls: false, host: address.hostname, port: Number(address.port), headers: [] };
const user = { ...place, username: 'reader', password: process.env.HABITUE_PASSWORD };
const rows = async (client, sql) => tableFromIPC(await client.query(sql)).toArray().map(String);

const checks = {
  async 'a query answers rows'() {
    const client = await createFlightSqlClient(user);
    const sql = "SELECT event, count(*) AS n FROM events WHERE event_id LIKE 'e%' GROUP BY event ORDER BY event";
    const table = tableFromIPC(await client.query(sql));
    const found = table.toArray().map((row) => [row.event, Number(row.n)]);
    assert.deepEqual(found, [['purchase', 3], ['refund', 1], ['signup', 1], ['visit', 3]]);
  },
  async 'the catalog is a tree'() {
    const client = await createFlightSqlClient(user);
    const column = (buffer, name) => tableFromIPC(buffer).toArray().map((row) => row[name]);
    assert.deepEqual(column(await client.getCatalogs(), 'catalog_name'), ['habitue']);
    const schemas = column(await client.getDbSchemas({}), 'db_schema_name');
    assert.deepEqual(schemas, ['information_schema', 'main', 'system']);
    const tables = await client.getTables({ dbSchemaFilterPattern: 'main', includeSchema: true });
    assert.deepEqual(column(tables, 'table_name'), ['customers', 'events', 'identifiers']);
  },
  async 'a token reads and does not write'() {
    const client = await createFlightSqlClient({ ...place, token: process.env.HABITUE_READER_TOKEN });
    assert.equal((await rows(client, "SELECT count(*) AS n FROM events WHERE event = 'refund'")).length, 1);
    // This client keeps the server's words to itself.
    await assert.rejects(client.query('REFRESH ALL SEGMENTS'), Error);
  },
  async 'an error is an error'() {
    const client = await createFlightSqlClient(user);
    await assert.rejects(client.query('SELECT evnt FROM events'), Error);
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`ok ${name}`);
}
// The native client keeps its threads.
process.exit(0);

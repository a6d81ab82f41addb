-- What a person does in psql: look around, ask, change, make a mistake. Run by ../run with
-- ON_ERROR_STOP, except for the mistake at the end.
\conninfo
\l
\dn
\dt
\d events
\d+ events
\d system.segments
\d+ customers
\dt+
\dn+
\dv
\di
\dT
\df
\df+ version
\dp
\du
\set event purchase
SELECT event_id, amount FROM events WHERE event = :'event' ORDER BY ts;
CREATE OR REPLACE SEGMENT psql AS SELECT customer_id FROM events WHERE event = 'purchase';
SHOW SEGMENTS;
REFRESH SEGMENT psql;
BEGIN;
SELECT count(*) AS seen FROM events;
COMMIT;

-- version
SELECT current_setting('server_version_num')::int/100 as version;
-- tables
SELECT CASE WHEN quote_ident(table_schema) IN ( SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END FROM generate_series( array_lower(string_to_array(current_setting('search_path'),','),1), array_upper(string_to_array(current_setting('search_path'),','),1) ) as i, string_to_array(current_setting('search_path'),',') s ) THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache', '_timescaledb_catalog', '_timescaledb_internal', '_timescaledb_config', 'timescaledb_information', 'timescaledb_experimental') ORDER BY CASE WHEN quote_ident(table_schema) IN ( SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END FROM generate_series( array_lower(string_to_array(current_setting('search_path'),','),1), array_upper(string_to_array(current_setting('search_path'),','),1) ) as i, string_to_array(current_setting('search_path'),',') s ) THEN 0 ELSE 1 END, 1;
-- columns
SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns WHERE quote_ident(table_name) = 'events';
-- columns of a table in a schema
SELECT column_name FROM information_schema.columns WHERE quote_ident(table_schema) = 'main' AND quote_ident(table_name) = 'events' AND data_type IN ('text','character','character varying') ORDER BY column_name;
-- a panel
SELECT floor(extract(epoch from ts)/86400)*86400 AS "time", count(*) AS "purchases" FROM events WHERE ts BETWEEN '2020-01-01T00:00:00Z' AND '2030-01-01T00:00:00Z' AND event = 'purchase' GROUP BY 1 ORDER BY 1;

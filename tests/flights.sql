-- How many flights each carrier had. Run it with --output-mode complete: the count changes with every batch.
SELECT get_json_object(CAST(value AS STRING), '$.carrier') AS carrier, count(*) AS flights
FROM STREAM flights
GROUP BY get_json_object(CAST(value AS STRING), '$.carrier')
ORDER BY flights DESC;

-- The highest key that was ever given to a life that left a row.
SELECT max(coalesce((SELECT max(ik) FROM durable_instance), 0), coalesce((SELECT max(ik) FROM durable_event), 0))

-- The earliest alarm.
-- parameters: namespace
SELECT min(alarm) FROM durable_instance WHERE namespace = ? AND alarm IS NOT NULL

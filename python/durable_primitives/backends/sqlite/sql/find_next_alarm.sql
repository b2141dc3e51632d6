-- The earliest alarm.
-- parameters: nk
SELECT min(alarm) FROM durable_instance WHERE nk = ? AND alarm IS NOT NULL

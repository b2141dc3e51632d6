-- The earliest due time of what still waits.
-- parameters: ik, after, away (items that are as good as gone: a JSON array of seq)
SELECT due
FROM durable_item
WHERE ik = ? AND due > ? AND due < 1152921504606846976 AND seq NOT IN (SELECT value FROM json_each(?))
ORDER BY due
LIMIT 1

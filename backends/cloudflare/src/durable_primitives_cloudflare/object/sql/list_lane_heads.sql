-- The first event of each lane that nobody has in hand.
-- parameters: ik, taken (a JSON array of seq)
SELECT lane, min(seq) FROM durable_event
WHERE ik = ? AND payload IS NOT NULL AND lane IS NOT NULL AND seq NOT IN (SELECT value FROM json_each(?))
GROUP BY lane

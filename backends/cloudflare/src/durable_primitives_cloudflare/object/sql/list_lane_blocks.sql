-- The first event of each lane that waits and lets nothing pass.
-- parameters: ik, taken (a JSON array of seq)
SELECT lane, min(seq) FROM durable_event
WHERE ik = ? AND payload IS NOT NULL AND due > 0 AND blocks = 1 AND lane IS NOT NULL
  AND seq NOT IN (SELECT value FROM json_each(?))
GROUP BY lane

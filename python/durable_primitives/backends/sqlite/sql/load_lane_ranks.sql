-- The highest rank in each of some lanes.
-- parameters: lanes (a JSON array of [ik, lane])
SELECT lane.value ->> 0, lane.value ->> 1, (
  SELECT max(rank) FROM (
    SELECT max(rank) AS rank FROM durable_item
    WHERE ik = lane.value ->> 0 AND durable_item.lane = lane.value ->> 1 AND rank <> 0
    UNION ALL
    SELECT 0 WHERE EXISTS (
      SELECT 1 FROM durable_item WHERE ik = lane.value ->> 0 AND durable_item.lane = lane.value ->> 1 AND rank = 0
    )
  )
)
FROM json_each(?) AS lane

-- Instances with more dead letters than they may keep, and by how many.
-- parameters: nk, most
SELECT ik, count(*) - ?2
FROM durable_letter
WHERE nk = ?1
GROUP BY ik
HAVING count(*) > ?2

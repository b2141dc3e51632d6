-- Dead letters of one instance with an id above `after`, by id: `Storage.letters`.
--
-- keys: any key of the partition
-- arguments: a packed `LettersRequest`
-- replies: packed `DeadLetter`s
-- complexity: O(limit + log n)
-- uses: wire keys

local place, instance, after, limit
stem, place, instance, after, limit = unpack(cmsgpack.unpack(ARGV[1]))

local w = { part = partition_prefix(place), instance = instance }
local ids = call('ZRANGEBYLEX', row_key(w, 'dead'), '(' .. after, '+', 'LIMIT', 0, digits(limit))
return array_of(get_many(row_key(w, 'letters'), ids))

-- Read an account's events from a place on, as somebody does who keeps the place himself.
-- KEYS[1] the account's state hash
-- ARGV[1] id of the last entry that was read, ARGV[2] the most entries
-- Returns {entries that were trimmed since the stream began, entries that it was ever given, entries after ARGV[1]}.

local stream = string.sub(KEYS[1], 1, -6) .. 'events' -- KEYS[1] ends in "state"
if redis.call('EXISTS', stream) == 0 then return { 0, 0, {} } end
local told = redis.call('XINFO', 'STREAM', stream)
local by_name = {}
for i = 1, #told, 2 do by_name[told[i]] = told[i + 1] end
local added = by_name['entries-added']
return { added - by_name['length'], added, redis.call('XRANGE', stream, '(' .. ARGV[1], '+', 'COUNT', ARGV[2]) }

#!lua flags=allow-oom
-- The gate before a poll. What a poll brings is gone at the vendor, so this write also proves that Redis takes writes,
-- and that the inbox has room.
-- KEYS[1] the account's state hash
-- ARGV[1] name of the address, ARGV[2] ms between polls, ARGV[3] ms that a poll can take, ARGV[4] token,
--         ARGV[5] the most entries of the inbox, ARGV[6] the most bytes
-- lock:poll:<name> string: token of the poll under way; polled:<name> string: exists while the interval runs
-- Returns {why, ms}: go | busy (somebody polls) | wait (ms until the interval is over) | full.

local prefix = string.sub(KEYS[1], 1, -6) -- KEYS[1] ends in "state"
local lock, polled = prefix .. 'lock:poll:' .. ARGV[1], prefix .. 'polled:' .. ARGV[1]
local bytes = tonumber(redis.call('GET', prefix .. 'inbox_bytes') or '0')
if redis.call('XLEN', prefix .. 'inbox') >= tonumber(ARGV[5]) or bytes >= tonumber(ARGV[6]) then return { 'full', 0 } end
if redis.call('EXISTS', lock) == 1 then return { 'busy', 0 } end
local left = redis.call('PTTL', polled)
if left > 0 then return { 'wait', left } end
redis.call('SET', polled, 1, 'PX', ARGV[2])
redis.call('SET', lock, ARGV[4], 'PX', ARGV[3])
return { 'go', 0 }

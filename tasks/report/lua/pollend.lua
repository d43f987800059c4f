#!lua flags=allow-oom
-- A poll is over: the interval runs from now on, because nobody knows when its request reached the vendor.
-- KEYS[1] the account's state hash
-- ARGV[1] name of the address, ARGV[2] ms until the next poll may begin, ARGV[3] token
-- Returns 1 where the poll still held its lock.

local prefix = string.sub(KEYS[1], 1, -6) -- KEYS[1] ends in "state"
redis.call('SET', prefix .. 'polled:' .. ARGV[1], 1, 'PX', ARGV[2])
if redis.call('GET', prefix .. 'lock:poll:' .. ARGV[1]) ~= ARGV[3] then return 0 end
redis.call('DEL', prefix .. 'lock:poll:' .. ARGV[1])
return 1

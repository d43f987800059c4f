-- include pressure.lua
-- Store something new for a while, where the server has room for it: a chunk of an upload, a file.
-- KEYS[1] the key (a string), ARGV[1] its value, ARGV[2] seconds for which it is kept
-- Returns {"ok"} | {"full", bytes used, maxmemory}: nothing was stored.

local full = memory_used_up()
if full then return full end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return { 'ok' }

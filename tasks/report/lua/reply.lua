#!lua flags=allow-oom
-- include rows.lua
-- Tell consumers of replies, each once.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack [[digest, ms for which it counts as the same, from, text, extno, message id, matched_by, occurred, at]]
-- heard zset: digest → ms until which the same reply is not told again; events, replies streams: capped
-- Returns how many were new.

local REPLIES_KEPT = 100000
local now = clock_ms()
local new = 0
redis.call('ZREMRANGEBYSCORE', key('heard'), '-inf', now)
for _, reply in ipairs(cmsgpack.unpack(ARGV[1])) do
  if redis.call('ZADD', key('heard'), 'NX', math.floor(now + reply[2]), reply[1]) == 1 then
    new = new + 1
    for name, most in pairs({ events = EVENTS_KEPT, replies = REPLIES_KEPT }) do
      redis.call('XADD', key(name), 'MAXLEN', '~', most, '*', 'kind', 'reply', 'from', reply[3], 'text', reply[4],
        'extno', reply[5], 'message_id', reply[6], 'matched_by', reply[7], 'occurred', reply[8], 'at', reply[9])
    end
  end
end
if new > 0 then redis.call('HINCRBY', key('state'), 'replies', new) end
return new

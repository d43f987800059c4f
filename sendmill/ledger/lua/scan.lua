-- include layout.lua
-- include pages.lua
-- Which slices may hold one of some recipients: their bytes are looked for in the bodies. A hit may be chance; the
-- reader makes sure.
-- KEYS[1] the account's state hash, from which the slices' names are made
-- ARGV[1] how many recipients, ARGV[2..] the bytes of each as a body holds them, then slices, and pages of slices
-- Returns {slices and pages looked at, id of each slice that was hit, …}: not all where that would take longer than some ms.

-- Roughly what it takes, in ns: a slice or a page, a slice of a page, each byte of a body, each byte for each recipient.
local ENOUGH_NS, SLICE_NS, FOLDED_NS, BYTE_NS, COMPARED_NS = 2000000, 2500, 150, 1.2, 0.1

local recipients = tonumber(ARGV[1])
local before = 1 + recipients
local result, spent = { 0 }, 0

local function holds_one(body)
  spent = spent + #body * (BYTE_NS + COMPARED_NS * recipients)
  for wanted = 2, before do
    if string.find(body, ARGV[wanted], 1, true) then return true end
  end
  return false
end

local function look(id, body)
  if holds_one(body) then result[#result + 1] = id end
end

-- Nearly always none of them is there, and one look at all bodies says so.
local function look_at_page(page)
  local bodies = redis.call('HVALS', key(page))
  spent = spent + FOLDED_NS * #bodies
  if not holds_one(table.concat(bodies)) then return end
  local told = redis.call('HGETALL', key(page))
  for n = 1, #told, 2 do look(told[n] .. '.0.' .. page, told[n + 1]) end
end

local function look_at_slice(id)
  if page_of(id) then return look(id, read_slice(id)) end
  local name = key('s:' .. id)
  local rows = redis.call('GETRANGE', name, 4, 7)
  if #rows < 4 then return end
  look(id, redis.call('GETRANGE', name, HEADER_BYTES + ARRAYS_BYTES * struct.unpack('<I4', rows), -1))
end

for i = before + 1, #ARGV do
  if string.find(ARGV[i], '.', 1, true) then look_at_slice(ARGV[i]) else look_at_page(ARGV[i]) end
  result[1] = i - before
  spent = spent + SLICE_NS
  if spent >= ENOUGH_NS then break end
end
return result

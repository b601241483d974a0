---@meta
--- Types for editors: names.

---@alias neap.DnsType "A"|"AAAA"|"HTTPS"|"SVCB"|"TXT"|"MX"|"SRV"|"CNAME"|"PTR"|"NS"|"SOA"

---@class neap.DnsRecord
---@field name string
---@field type neap.DnsType
---@field ttl integer seconds for which it still holds
---@field address? string of A and AAAA
---@field target? string of CNAME, NS, PTR, SRV, HTTPS and SVCB; "." is the root
---@field preference? integer of MX
---@field exchange? string of MX
---@field text? string of TXT
---@field strings? string[] the pieces of `text`
---@field priority? integer of SRV, HTTPS and SVCB, where 0 is an alias
---@field weight? integer of SRV
---@field port? integer of SRV, HTTPS and SVCB
---@field alpn? string[]
---@field no_default_alpn? true
---@field ipv4hint? string[]
---@field ipv6hint? string[]
---@field ech? string
---@field mandatory? string[] names of keys
---@field primary? string of SOA
---@field mailbox? string of SOA
---@field minimum? integer of SOA

--- Where the host of an https URL is served.
---@class neap.DnsService
---@field priority integer 0: the end of an alias, of which no more is known
---@field target string whose addresses to connect to
---@field port integer
---@field alpn string[]
---@field hints string[] addresses
---@field ech? string

---@class neap.DnsOptions
---@field timeout? number seconds
---@field family? 4|6 of lookup alone

---@class neap.Resolver
local Resolver = {}
--- Addresses in the order of RFC 6724, eight at most: by the hosts file, else by name servers.
---@param host string
---@param options? neap.DnsOptions
---@return string[]? addresses
---@return string? message
---@return neap.Code? code
---@return string? reason "NXDOMAIN", "NODATA", "SERVFAIL", "REFUSED", "FORMERR", "timeout" …
function Resolver:lookup(host, options) end
---@param name string whole: no search list
---@param kind neap.DnsType
---@param options? neap.DnsOptions
---@return neap.DnsRecord[]? records
---@return string? message
---@return neap.Code? code
---@return string? reason
function Resolver:query(name, kind, options) end
---@param ip string
---@param options? neap.DnsOptions
---@return string[]? names
---@return string? message
---@return neap.Code? code
---@return string? reason
function Resolver:reverse(ip, options) end
--- By HTTPS records (RFC 9460), best first; empty where there are none.
---@param host string
---@param port integer
---@param options? neap.DnsOptions
---@return neap.DnsService[]? services
---@return string? message
---@return neap.Code? code
---@return string? reason
function Resolver:https(host, port, options) end
--- What is kept is forgotten.
function Resolver:forget() end

--- Names, asked of name servers without holding the loop. The functions are the methods of the program's own resolver.
---@class neap.dns
local names = {}
---@param options? { servers?: string[], search?: string[], timeout?: number, tries?: integer }
---@return neap.Resolver? resolver
---@return string? message
---@return neap.Code? code
function names.new(options) end
--- That one is asked by all of the program from now on; nil: the system's servers.
---@param resolver? neap.Resolver
function names.use(resolver) end
---@param host string
---@param options? neap.DnsOptions
---@return string[]? addresses
---@return string? message
---@return neap.Code? code
---@return string? reason
function names.lookup(host, options) end
---@param name string
---@param kind neap.DnsType
---@param options? neap.DnsOptions
---@return neap.DnsRecord[]? records
---@return string? message
---@return neap.Code? code
---@return string? reason
function names.query(name, kind, options) end
---@param ip string
---@param options? neap.DnsOptions
---@return string[]? names
---@return string? message
---@return neap.Code? code
---@return string? reason
function names.reverse(ip, options) end
---@param host string
---@param port integer
---@param options? neap.DnsOptions
---@return neap.DnsService[]? services
---@return string? message
---@return neap.Code? code
---@return string? reason
function names.https(host, port, options) end

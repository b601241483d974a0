---@meta neap.x509
--- Types of neap.x509 and of what it is made of, for editors (LuaCATS). Nothing runs from here. What can happen gives nil,
--- message, code.

--- Keys, requests (PKCS #10) and certificates: made as PEM text, taken as PEM or DER.
---@class neap.x509
local x509 = {}
--- A fresh ECDSA P-256 key.
---@return string? key
---@return string? message
---@return neap.Code? code
function x509.key() end
---@alias neap.Subject string|{ common_name?: string, organization?: string } a common name, or both; 1 to 64 bytes each
---@param options { key: string, subject: neap.Subject, names?: string[] }
---@return string? request
---@return string? message
---@return neap.Code? code
function x509.request(options) end
---@class neap.RequestInfo
---@field common_name? string
---@field organization? string
---@field names string[] DNS names and IP addresses that are asked for
---@field pin string of its key: sha256//BASE64
--- What a request says; its signature was verified, and nothing else is sure.
---@param request string
---@return neap.RequestInfo? info
---@return string? message
---@return neap.Code? code
function x509.read_request(request) end
---@class neap.IssueOptions
---@field request? string whose key it is for, and whose subject unless `subject` says another; or
---@field key? string the private key that it is for
---@field subject? neap.Subject
---@field names? string[] DNS names and IP addresses; those of the request only when they are given here
---@field days? integer 365; never beyond the authority's
---@field uses? ("client"|"server")[] { "client" }
---@field ca_cert string
---@field ca_key string
---@param options neap.IssueOptions
---@return string? certificate
---@return string? message
---@return neap.Code? code
function x509.issue(options) end
---@param options { subject: neap.Subject, days?: integer, key?: string, path_length?: integer, ca_cert?: string, ca_key?: string }
---@return string? certificate
---@return string key_or_message
---@return neap.Code? code
function x509.authority(options) end

---@class neap.Config
local Config = {}
---@return string? key
---@return string? message
---@return neap.Code? code
function Config:make_key() end
---@param plan { key: string, common_name?: string, organization?: string, names?: string[] }
---@return string? request
---@return string? message
---@return neap.Code? code
function Config:make_request(plan) end
---@param request string
---@return neap.RequestInfo? info
---@return string? message
---@return neap.Code? code
function Config:read_request(request) end
--- `uses`: the sum of 1 (server) and 2 (client), or 4 (an authority).
---@param plan { request?: string, key?: string, common_name?: string, organization?: string, names?: string[], days?: integer, uses?: integer, path_length?: integer, ca_cert?: string, ca_key?: string }
---@return string? certificate
---@return string? message
---@return neap.Code? code
function Config:issue_certificate(plan) end

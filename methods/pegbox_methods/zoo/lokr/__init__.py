"""LoKr: a Kronecker product of two small matrices beside each linear map."""

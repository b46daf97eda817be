"""SHiRA: a few weights of each linear map are trained, where chance put them."""

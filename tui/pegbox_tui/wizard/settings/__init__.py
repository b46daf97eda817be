"""Step 5: the recommended method and settings, why each, and a form that changes any of them."""

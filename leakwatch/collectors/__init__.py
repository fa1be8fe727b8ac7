"""Turn records into samples, one collector a source; each fails alone and says how it fared."""

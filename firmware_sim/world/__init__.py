"""Generated worlds: a brand's network, a year of honest noise and labelled attacks, written as a world folder."""

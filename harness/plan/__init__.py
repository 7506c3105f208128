"""What is to be measured, as data: experiments and their points, conditions, profiles, the order.

Nothing here talks to a lab.
"""

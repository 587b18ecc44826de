"""The web page: what people see of the box in a browser.

How a page is added (``table`` has all of them; the ones that are there show the rest):

1.  ``NAME.py`` has its ``PAGE``: path, name, title, the act that who sees it may do, its group in
    the navigation, and ``fill``, if the template says something of the moment. ``table`` names it.
2.  ``templates/NAME.html`` extends ``layout.html``; every text in it is ``{{ _("…") }}`` or
    ``{{ ngettext("one", "%(n)s many", n) }}``. Names of patients and UIDs come by the API alone.
    What not everybody may do stands in ``{% if visit.may("decide") %}``: else it is not there.
3.  ``files/js/NAME.js`` begins with ``import "./layout.js"`` and uses ``api`` (asking), ``dom``
    (elements, toasts, forms), ``words`` (texts, numbers, times), ``dialog`` (asking a person),
    ``table`` (long lists), ``layout.follow`` (what happens). No inline script, style or handler.
4.  ``files/page.css`` has tokens and parts; what one page alone needs is ``files/NAME.css``, which
    the layout then loads. ``files/icons.svg`` has an icon of the page's name (24 units, strokes).
5.  ``scripts/words`` writes its texts into ``catalogue/LANGUAGE/NAME.po``: translate them, all.
6.  Tests walk over the table: each role's pages, catalogues, axe, widths, colours, directions.

Modules: ``door`` answers, ``page`` is the type, ``resources`` reads templates, ``words`` the
catalogue, ``static`` the files, ``state`` says how the box is.
"""
